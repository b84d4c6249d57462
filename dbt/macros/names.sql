{#- A name without the spaces around it, and with one space between its words; null where empty. -#}
{% macro name_as_written(column) -%}
    nullif(btrim(regexp_replace({{ column }}, '[\s\u00a0]+', ' ', 'g')), '')
{%- endmacro %}

{#- What two names have in common that differ in case and spaces only. -#}
{% macro name_key(column) -%}
    lower({{ name_as_written(column) }})
{%- endmacro %}

{#- The date in a file's name, such as 2024-03-07.csv; null where there is none, or no such day. -#}
{% macro date_in_name(file_name) -%}
    {%- set found = "substring(" ~ file_name ~ " from '\\d{4}-\\d{2}-\\d{2}')" -%}
    case when pg_input_is_valid({{ found }}, 'date') then {{ found }}::date end
{%- endmacro %}
