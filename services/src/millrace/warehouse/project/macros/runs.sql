{#- The time at which this run started: what it adds has it in `loaded_at`. -#}
{% macro run_started_at() -%}
    cast('{{ var("run_started_at", "1970-01-01") }}' as timestamp)
{%- endmacro %}

{#- Whether this run adds rows. -#}
{% macro is_build() -%}
    {{ return(var("run_started_at", none) is not none) }}
{%- endmacro %}

{#- Whether a row was added by this run. -#}
{% macro is_new() -%}
    loaded_at = {{ run_started_at() }}
{%- endmacro %}

{#- The earliest event time that this run added, as a literal: an engine skips what is older. -#}
{% macro earliest_new(relation) -%}
    {%- if execute -%}
        {%- set found = run_query('select min(observed_at) from ' ~ relation ~ ' where ' ~ is_new()).columns[0].values()[0] -%}
        cast('{{ found or "9999-01-01" }}' as timestamp)
    {%- else -%}
        cast('9999-01-01' as timestamp)
    {%- endif -%}
{%- endmacro %}

{#- Whether all of these columns are equal in two relations. -#}
{% macro same(one, other, columns) -%}
    {%- for column in columns %}{{ one }}.{{ column }} = {{ other }}.{{ column }}{% if not loop.last %} and {% endif %}{% endfor -%}
{%- endmacro %}
