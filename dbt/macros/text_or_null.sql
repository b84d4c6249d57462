{#- A text without the blanks around it; null where nothing is left. -#}
{% macro text_or_null(column) -%}
    nullif(trim({{ column }}), '')
{%- endmacro %}
