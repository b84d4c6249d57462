{#-
    A mart of another pipeline as published, declared as a source of schema gold; the pipeline's entry
    in the registry has that pipeline in `reads`. Before its first publication it is an empty table
    with the columns that its contract declares.
-#}
{% macro published(mart) -%}
    {%- set relation = source('gold', mart) -%}
    {#- What a unit test gives in its place is no table. -#}
    {%- if not execute or relation.is_cte or load_relation(relation) is not none -%}
        {{ relation }}
    {%- else -%}
        {%- set columns = [] -%}
        {%- for column in graph.nodes['model.' ~ project_name ~ '.' ~ mart].columns.values() -%}
            {%- do columns.append('null::' ~ column.data_type ~ ' as ' ~ column.name) -%}
        {%- endfor -%}
        (select {{ columns | join(', ') }} where false)
    {%- endif -%}
{%- endmacro %}
