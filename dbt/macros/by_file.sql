{#-
    Incremental by file: only the rows of files that are new, corrected or withdrawn are touched, and
    the result equals a full refresh. A model takes part with

        config(
            materialized='incremental',
            incremental_strategy='by_file',
            indexes=[{'columns': ['_load_id']}],
            meta={'files_of': {'source': 'orders'}},
        )

    and reads its files `where {{ in_changed_files() }}`. `files_of` names where the files come from:
    a source (the ledger knows its current loads), or, further down, a model that is by file itself
    ({'model': 'stg_orders'}), or several ({'models': ['stg_orders', 'stg_returns']}). Each row
    carries the _load_id it came from.

    Neither a maximum timestamp nor a maximum id would do: loads may commit out of order, and a
    correction replaces rows in the middle.
-#}

{#- The condition on the rows that the model has to read: all of them for a full refresh. -#}
{% macro in_changed_files() -%}
    {%- if not execute -%}
        true
    {%- elif is_incremental() -%}
        _load_id = any(array({{ loads_upstream() }} except {{ loads_in(this) }}))
    {%- else -%}
        _load_id in ({{ loads_upstream() }})
    {%- endif -%}
{%- endmacro %}

{#- dbt finds this macro by the name of the strategy. -#}
{% macro get_incremental_by_file_sql(arg_dict) %}
    {%- set gone -%}
        {{ arg_dict['target_relation'] }} as kept
        where _load_id = any(array(
            {{ loads_in(arg_dict['target_relation']) }}
            except
            {{ loads_upstream() }}
        ))
    {%- endset -%}
    {{ delete_and_log(gone) }}
    {% if columns_of_changes(model) -%}
        {{ log_changes(1, arg_dict['temp_relation']) }}
    {%- endif %}
    {{ get_insert_into_sql(
        arg_dict['target_relation'], arg_dict['temp_relation'], arg_dict['dest_columns']
    ) }}
{% endmacro %}

{#- The loads whose rows the model should have. -#}
{% macro loads_upstream() -%}
    {%- set files_of = config.get('meta').get('files_of', {}) -%}
    {%- if files_of.get('source') -%}
        select files.current_load_id
        from {{ source('ops', 'files') }} as files
        where files.source = '{{ files_of.source }}' and files.current_load_id is not null
    {%- elif files_of.get('model') -%}
        {{ loads_in(ref(files_of.model)) }}
    {%- elif files_of.get('models') -%}
        (
            {%- for name in files_of.models %}
            {{ loads_in(ref(name)) }}
            {{ 'union all' if not loop.last }}
            {%- endfor %}
        )
    {%- else -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ " is incremental by file but does not say of what: add meta={'files_of': "
            ~ "{'source': '<source>'}} or {'files_of': {'model': '<model>'}} to its config"
        ) }}
    {%- endif -%}
{%- endmacro %}

{#-
    The loads whose rows a table has: a loose index scan, as PostgreSQL has none of its own. Its cost
    goes with the number of files (one index probe each), not with the number of rows.
-#}
{% macro loads_in(relation) -%}
    (
        with recursive loads as (
            (select min(_load_id) as load_id from {{ relation }})
            union all
            select (
                select min(rows_after._load_id)
                from {{ relation }} as rows_after
                where rows_after._load_id > loads.load_id
            )
            from loads
            where loads.load_id is not null
        )

        select load_id from loads
        where load_id is not null
    )
{%- endmacro %}
