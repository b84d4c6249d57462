{#-
    A model that is incremental in one of this project's ways keeps rows that an earlier version of
    its SQL made. So its table remembers the definition it was built by, and is rebuilt in full when
    that has changed: its SQL, its contract, its way of being incremental, or those of a model above
    it. It is rebuilt as well where the log of changes that it follows does not go back far enough.
    A changed macro is not noticed: run `dbt build --full-refresh` after one.
-#}

{#- dbt's own macro, which also decides is_incremental(), with the rules above added. -#}
{% macro should_full_refresh() %}
    {%- set wanted = config.get('full_refresh') -%}
    {%- if wanted is none -%}
        {%- set wanted = flags.FULL_REFRESH or definition_has_changed() or (
            execute and lost_the_thread()
        ) -%}
    {%- endif -%}
    {%- do return(wanted) -%}
{% endmacro %}

{% macro definition_has_changed() %}
    {%- if not execute or not remembers_definition() -%}
        {%- do return(false) -%}
    {%- endif -%}
    {%- do return(not remembered_definition().startswith(definition_comment() ~ ' ')) -%}
{% endmacro %}

{% macro remembers_definition() %}
    {%- set strategies = ['by_file', 'by_inputs', 'by_key', 'by_sum'] -%}
    {%- do return(config.get('incremental_strategy') in strategies) -%}
{% endmacro %}

{% macro remembered_definition() %}
    {%- set remembered = run_query(
        "select obj_description(to_regclass('" ~ this ~ "'), 'pg_class')"
    ) -%}
    {%- do return(remembered.rows[0][0] or '') -%}
{% endmacro %}

{#-
    A post-hook of every model; renders to nothing, and so costs nothing, unless there is something
    to remember: of a table just built in full its definition and the run that built it, of one that
    follows others how far it has read. What another strategy has changed has no log of it, so such
    a table forgets where it comes from.
-#}
{% macro remember_build() -%}
    {%- if execute and model.config.materialized == 'incremental' -%}
        {%- if not remembers_definition() -%}
            {%- if remembered_definition().startswith('Built by dbt from definition') -%}
                comment on table {{ this }} is null
            {%- endif -%}
        {%- else -%}
            {%- if definition_has_changed() -%}
                comment on table {{ this }}
                is '{{ definition_comment() }} in run {{ invocation_id }}';
                {#- The next build comes before autovacuum does, and is planned by these. -#}
                analyze {{ this }};
                {{ begin_log() }}
            {%- endif -%}
            {{ note_positions() }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{% macro definition_comment() %}
    {%- do return('Built by dbt from definition ' ~ definition_of(graph.nodes[model.unique_id])) -%}
{% endmacro %}

{% macro definition_of(node) %}
    {%- set parts = [
        node.raw_code,
        (node.contract or {}).checksum or '',
        node.checksum.checksum if node.resource_type == 'seed' else '',
        node.config.incremental_strategy or '',
        columns_of_changes(node) | join(','),
    ] -%}
    {%- for parent in node.depends_on.nodes if parent in graph.nodes -%}
        {%- do parts.append(definition_of(graph.nodes[parent])) -%}
    {%- endfor -%}
    {%- do return(local_md5(parts | join('\n'))) -%}
{% endmacro %}
