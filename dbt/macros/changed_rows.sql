{#-
    dbt's own macro, with one word added: a test of a mart's rows may say

        config:
            where: __changed_rows__

    and looks, in a run, at those rows only that have changed since the mart was published (by its
    log, see changes.sql): all others passed this very test then. Only a test that judges each row,
    or all rows of a load together, may say so. It looks at all rows when its verdict on those of
    before is not known to be good, after a build in full, and in `dbt test`.
-#}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where', '') -%}
    {%- if where == '__changed_rows__' -%}
        {%- set where = changed_since_passed() if execute and flags.WHICH == 'build' else '' -%}
    {%- endif -%}
    {%- if where -%}
        {%- do return('(select * from ' ~ relation ~ ' where ' ~ where ~ ') as changed_rows') -%}
    {%- endif -%}
    {%- do return(relation) -%}
{%- endmacro %}

{#- The condition on the rows that the last publication did not have; nothing if all are wanted. -#}
{% macro changed_since_passed() -%}
    {%- set mart = graph.nodes[model.attached_node] -%}
    {%- set columns = columns_of_changes(mart) -%}
    {%- if columns -%}
        {%- set passed = run_query(
            "select change_id from ops.change_readers where reader = 'gold." ~ mart.name
            ~ "' and model = '" ~ mart.schema ~ "." ~ mart.name ~ "' and generation = "
            ~ generation_of(mart) ~ " and exists (select from ops.node_results"
            ~ " join ops.publications using (transformation_id) where unique_id = '"
            ~ model.unique_id
            ~ "' and status = 'pass' and publication_id = (select max(publication_id)"
            ~ " from ops.published_marts where mart = '" ~ mart.name ~ "'))"
        ) -%}
        {%- if passed.rows -%}
            {#- As an array, as the planner takes an index for it whatever it knows of the log. -#}
            {{ columns[0] if columns | length == 1 else '(' ~ columns | join(', ') ~ ')' }}
            {{ '= any(array(' if columns | length == 1 else 'in (' }}
                select {{ columns | join(', ') }}
                from {{ mart.schema }}.{{ mart.name }}__changes
                where _change > 0 and _change_id > {{ passed.rows[0][0] }}
            {{ '))' if columns | length == 1 else ')' }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
