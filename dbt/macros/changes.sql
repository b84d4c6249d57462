{#-
    What changed in a model, for those that follow it: the models below it that are incremental
    themselves, and the publication of a mart.

    A model that is incremental by file or by key (by_file.sql, by_key.sql) keeps a log beside its
    table, <model>__changes. Each build adds to it, in its own transaction, what it took out
    (_change = -1) and what it put in (_change = 1), by the columns that the model names:

        meta={'changes': ['user_id', 'event_date']}

    With all columns of a model whose rows are unique, sums can follow it (by_sum.sql). A mart needs
    to name none: its log has the loads of a mart that is by file, and else its key. Of other
    models there is no log without `changes`.

    ops.change_readers tells how far each reader has read. A build in full begins a new log and a
    new generation; then whoever follows it is built, or published, in full as well.
-#}

{#- The columns of a model's log; none where it keeps none. The model is a node of the graph. -#}
{% macro columns_of_changes(node) %}
    {%- set strategy = node.config.incremental_strategy -%}
    {%- if node.config.materialized != 'incremental' or strategy not in ('by_file', 'by_key') -%}
        {%- do return([]) -%}
    {%- endif -%}
    {%- set named = (node.config.meta or {}).get('changes') -%}
    {%- if named -%}
        {%- do return(named) -%}
    {%- elif node.schema != 'gold_audit' -%}
        {%- do return([]) -%}
    {%- endif -%}
    {%- if strategy == 'by_file' -%}
        {%- do return(['_load_id']) -%}
    {%- endif -%}
    {%- do return(key_columns(node.config.unique_key)) -%}
{% endmacro %}

{% macro key_columns(unique_key) %}
    {%- do return([unique_key] if unique_key is string else unique_key) -%}
{% endmacro %}

{#- The log of a relation. -#}
{% macro log_of(relation) %}
    {%- do return(api.Relation.create(
        database=relation.database,
        schema=relation.schema,
        identifier=relation.identifier ~ '__changes',
    )) -%}
{% endmacro %}

{#-
    What this model has to take up of another one that it follows: the changes since it was built
    last, with _change and the columns of the log; for a build in full, all rows, as having come.
-#}
{% macro changes_of(relation) -%}
    {#- In a unit test there is no table to add to. -#}
    {%- if execute and this is not none and is_incremental() -%}
        (
            select * from {{ log_of(relation) }}
            where _change_id > ({{ position_in(relation) }})
        )
    {%- else -%}
        (select 1 as _change, * from {{ relation }})
    {%- endif -%}
{%- endmacro %}

{% macro position_in(relation) -%}
    select change_id
    from ops.change_readers
    where reader = '{{ table_name(this) }}' and model = '{{ table_name(relation) }}'
{%- endmacro %}

{% macro table_name(relation) -%}
    {{ relation.schema }}.{{ relation.identifier }}
{%- endmacro %}

{#- The statement that logs the rows of a query: +1 for what came, -1 for what went. -#}
{% macro log_changes(change, rows) -%}
    {%- set columns = columns_of_changes(model) | join(', ') -%}
    insert into {{ log_of(this) }} (_change, {{ columns }})
    select distinct
        {{ change }}::smallint,
        {{ columns }}
    from {{ rows }};
{%- endmacro %}

{#- A delete that logs what it took out; `condition` is what follows `delete from`. -#}
{% macro delete_and_log(condition) -%}
    {%- set columns = columns_of_changes(model) -%}
    {%- if columns -%}
        with gone as (
            delete from {{ condition }}
            returning {{ columns_below('kept', columns) }}
        )
        {{ log_changes(-1, 'gone') }}
    {%- else -%}
        delete from {{ condition }};
    {%- endif -%}
{%- endmacro %}

{#- The models above this one that keep a log. -#}
{% macro followed_models() %}
    {%- set found = [] -%}
    {%- for parent in model.depends_on.nodes if parent in graph.nodes -%}
        {%- if columns_of_changes(graph.nodes[parent]) -%}
            {%- do found.append(graph.nodes[parent]) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do return(found) -%}
{% endmacro %}

{#- The build in full that made a table, by the comment that it left; null where none is known. -#}
{% macro generation_of(node) -%}
    substring(
        obj_description(to_regclass('{{ node.schema }}.{{ node.name }}'), 'pg_class')
        from ' in run (.*)$'
    )
{%- endmacro %}

{#- Whether the log of a model that this one follows does not go back to this one's last build. -#}
{% macro lost_the_thread() %}
    {%- for node in followed_models() if is_follower(model) -%}
        {%- set found = run_query(
            "select reader from ops.change_readers where reader = '" ~ table_name(this)
            ~ "' and model = '" ~ node.schema ~ '.' ~ node.name
            ~ "' and generation = " ~ generation_of(node)
        ) -%}
        {%- if not found.rows -%}
            {%- do return(true) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do return(false) -%}
{% endmacro %}

{% macro is_follower(node) %}
    {%- do return(node.config.incremental_strategy in ('by_key', 'by_sum')) -%}
{% endmacro %}

{#- The statements that note how far this model has read, and cut off what everybody has read. -#}
{% macro note_positions() -%}
    {%- for node in followed_models() if is_follower(model) %}
        insert into ops.change_readers (reader, model, generation, change_id)
        select
            '{{ table_name(this) }}',
            '{{ node.schema }}.{{ node.name }}',
            {{ generation_of(node) }},
            coalesce(max(_change_id), 0)
        from {{ node.schema }}.{{ node.name }}__changes
        on conflict (reader, model) do update set
            generation = excluded.generation,
            change_id = greatest(
                excluded.change_id,
                case when change_readers.generation = excluded.generation
                    then change_readers.change_id end
            );
    {% endfor -%}
    {%- if columns_of_changes(model) %}
        delete from {{ log_of(this) }}
        where _change_id <= (
            select min(coalesce(change_readers.change_id, 0))
            from unnest(array['{{ readers() | join("', '") }}']) as wanted (reader)
            left join ops.change_readers
                on
                    change_readers.reader = wanted.reader
                    and change_readers.model = '{{ table_name(this) }}'
                    and change_readers.generation = {{ generation_of(model) }}
        );
    {% endif -%}
{%- endmacro %}

{#- Who reads this model's log: followers below it, and the publication of a mart. -#}
{% macro readers() %}
    {%- set found = ['gold.' ~ model.name] if model.schema == 'gold_audit' else [] -%}
    {%- for node in graph.nodes.values() if is_follower(node) -%}
        {%- if model.unique_id in node.depends_on.nodes -%}
            {%- do found.append(node.schema ~ '.' ~ node.name) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do return(found) -%}
{% endmacro %}

{#- The statements that begin a new log, empty, beside a table that was just built in full. -#}
{% macro begin_log() -%}
    {%- set columns = columns_of_changes(model) -%}
    drop table if exists {{ log_of(this) }};
    {% if columns -%}
        create table {{ log_of(this) }} as
        select
            0::bigint as _change_id,
            0::smallint as _change,
            {{ columns | join(', ') }}
        from {{ this }}
        limit 0;
        alter table {{ log_of(this) }}
        alter column _change_id set not null,
        alter column _change_id add generated always as identity,
        add primary key (_change_id);
    {%- endif -%}
{%- endmacro %}
