{#- What engines write in different ways. -#}

{#- A time with a zone as one of UTC without a zone, whatever the zone of the session. -#}
{% macro utc(time) -%}
    {{ return(adapter.dispatch('utc', 'millrace')(time)) }}
{%- endmacro %}

{% macro default__utc(time) -%}
    cast({{ time }} at time zone 'UTC' as timestamp)
{%- endmacro %}

{% macro snowflake__utc(time) -%}
    cast(convert_timezone('UTC', {{ time }}) as timestamp_ntz)
{%- endmacro %}

{#- The nearest whole number, of two the even one. -#}
{% macro round_half_even(number) -%}
    {{ return(adapter.dispatch('round_half_even', 'millrace')(number)) }}
{%- endmacro %}

{% macro default__round_half_even(number) -%}
    round_even({{ number }}, 0)
{%- endmacro %}

{% macro snowflake__round_half_even(number) -%}
    {#- Its own HALF_TO_EVEN is for numbers of fixed point alone. #}
    case when {{ number }} - floor({{ number }}) = 0.5e0 then 2 * round({{ number }} / 2) else round({{ number }}) end
{%- endmacro %}

{% macro seconds_between(first, last) -%}
    ({{ dbt.datediff(first, last, 'microsecond') }} / cast(1000000 as double))
{%- endmacro %}
