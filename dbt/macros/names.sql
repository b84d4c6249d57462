{#- A name without the spaces around it, and with one space between its words; null where empty. -#}
{% macro name_as_written(column) -%}
    nullif(btrim(regexp_replace({{ column }}, '[\s\u00a0]+', ' ', 'g')), '')
{%- endmacro %}

{#- What two names have in common that differ in case and spaces only. -#}
{% macro name_key(column) -%}
    lower({{ name_as_written(column) }})
{%- endmacro %}
