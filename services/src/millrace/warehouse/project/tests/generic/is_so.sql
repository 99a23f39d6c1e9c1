{#- Rows for which a condition is false; one that is unknown, as of a null, is no failure. -#}
{% test is_so(model, condition) %}
select *
from {{ model }}
where not ({{ condition }})
{% endtest %}
