{#- A model without the name of its database: views hold wherever the file is attached, by whatever
    name. -#}
{% macro ref() %}
    {{ return(builtins.ref(*varargs, **kwargs).include(database=false)) }}
{% endmacro %}
