{#-
    Incremental by key: of a model that follows another one's changes (changes.sql), only the rows
    of the keys that those touch are calculated, and only what is different then is written. A model
    takes part with

        config(
            materialized='incremental',
            incremental_strategy='by_key',
            unique_key=['user_id'],
            indexes=[{'columns': ['user_id'], 'unique': true}],
        )

    and starts from `{{ changes_of(ref('<model>')) }}`: every key that those changes can touch, and
    the row that it has now. For a key that has none any more the model gives the key with all else
    null (in a build in full, no row). Of each model above it that keeps a log it takes the changes;
    then it is right whichever of them was built last. What it reads to find a row should be found
    by an index: then a run costs by what changed.
-#}

{#- dbt finds this macro by the name of the strategy. -#}
{% macro get_incremental_by_key_sql(arg_dict) %}
    {%- set kept, found = arg_dict['target_relation'], arg_dict['temp_relation'] -%}
    {%- set key = key_columns(arg_dict['unique_key']) -%}
    {%- set values = arg_dict['dest_columns'] | map(attribute='name') | reject('in', key) | list -%}
    {%- if not values -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ " is incremental by key, and has no column beside its key"
        ) }}
    {%- endif -%}
    {#- A temporary table has no statistics of its own accord. -#}
    analyze {{ found }};
    -- Most of what is touched has not changed; after this the rest is little.
    delete from {{ found }} as found using {{ kept }} as kept
    where {{ pairs(key) }}
    and ({{ columns_below('kept', values) }})
    is not distinct from ({{ columns_below('found', values) }});
    {{ delete_and_log(kept ~ ' as kept using ' ~ found ~ ' as found where ' ~ pairs(key)) }}
    delete from {{ found }} as found where ({{ columns_below('found', values) }}) is null;
    {% if columns_of_changes(model) -%}
        {{ log_changes(1, found) }}
    {%- endif %}
    {{ get_insert_into_sql(kept, found, arg_dict['dest_columns']) }}
{% endmacro %}

{% macro pairs(columns) -%}
    {%- for column in columns -%}
        kept.{{ column }} = found.{{ column }}{{ ' and ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{% macro columns_below(table, columns) -%}
    {%- for column in columns -%}
        {{ table }}.{{ column }}{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
