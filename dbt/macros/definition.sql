{#-
    A model that is incremental by file keeps rows that an earlier version of its SQL made. So its
    table remembers the definition it was built by, and is rebuilt in full when that has changed:
    its SQL, its contract, or those of a model above it. A changed macro is not noticed: run
    `dbt build --full-refresh` after one.
-#}

{#- dbt's own macro, which also decides is_incremental(), with the rule above added. -#}
{% macro should_full_refresh() %}
    {%- set wanted = config.get('full_refresh') -%}
    {%- if wanted is none -%}
        {%- set wanted = flags.FULL_REFRESH or definition_has_changed() -%}
    {%- endif -%}
    {%- do return(wanted) -%}
{% endmacro %}

{% macro definition_has_changed() %}
    {%- if not execute or config.get('incremental_strategy') != 'by_file' -%}
        {%- do return(false) -%}
    {%- endif -%}
    {%- set remembered = run_query(
        "select obj_description(to_regclass('" ~ this ~ "'), 'pg_class')"
    ) -%}
    {%- do return(remembered.rows[0][0] != definition_comment()) -%}
{% endmacro %}

{#- A post-hook of every model; renders to nothing, and so costs nothing, unless there is news. -#}
{% macro remember_definition() -%}
    {%- if definition_has_changed() -%}
        comment on table {{ this }} is '{{ definition_comment() }}'
    {%- endif -%}
{%- endmacro %}

{% macro definition_comment() %}
    {%- do return('Built by dbt from definition ' ~ definition_of(graph.nodes[model.unique_id])) -%}
{% endmacro %}

{% macro definition_of(node) %}
    {%- set parts = [node.raw_code, node.contract.checksum or ''] -%}
    {%- for parent in node.depends_on.nodes if parent in graph.nodes -%}
        {%- do parts.append(definition_of(graph.nodes[parent])) -%}
    {%- endfor -%}
    {%- do return(local_md5(parts | join('\n'))) -%}
{% endmacro %}
