{#- The rows that a test reads: of `new rows`, in a build, those that it added. -#}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where') -%}
    {%- if not where or (where == 'new rows' and not is_build()) -%}
        {{ relation }}
    {%- else -%}
        (select * from {{ relation }} where {{ is_new() if where == 'new rows' else where }}) as tested
    {%- endif -%}
{%- endmacro %}
