{#-
    Incremental by inputs: of a model whose rows are made in groups, such as by source and day, only
    the groups that anything they are made of has changed are calculated anew, and the result equals
    a full refresh. For what is by file, and depends on small tables as well: rates, mappings, deals.
    A model takes part with

        config(
            materialized='incremental',
            incremental_strategy='by_inputs',
            indexes=[{'columns': ['_inputs']}],
            meta={'inputs_of': 'int_source_days'},
        )

    and reads the groups `where {{ in_changed_inputs() }}` from the model that `inputs_of` names. That
    one is a table with a row for each group, built anew in each run; its column _inputs is a hash
    of the group's key and of all that the group's rows are made of (`inputs_hash`). Each row
    carries the _inputs that it came from, and each group has a row at least.

    Nothing is kept beside the tables: a build that fails in between leaves what the next one finds.
-#}

{#- A hash of the values of a group: of its key, the loads of its records, and what else counts. -#}
{% macro inputs_hash(values) -%}
    md5(row({{ values | join(', ') }})::text)::uuid
{%- endmacro %}

{#- The condition on the groups that the model has to read: all of them for a full refresh. -#}
{% macro in_changed_inputs() -%}
    {%- if execute and is_incremental() -%}
        _inputs = any(array({{ inputs_upstream() }} except {{ inputs_in(this) }}))
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{#- dbt finds this macro by the name of the strategy. -#}
{% macro get_incremental_by_inputs_sql(arg_dict) %}
    delete from {{ arg_dict['target_relation'] }}
    where _inputs = any(array(
        {{ inputs_in(arg_dict['target_relation']) }}
        except
        {{ inputs_upstream() }}
    ));
    {{ get_insert_into_sql(
        arg_dict['target_relation'], arg_dict['temp_relation'], arg_dict['dest_columns']
    ) }}
{% endmacro %}

{% macro inputs_upstream() -%}
    {%- set inputs_of = config.get('meta').get('inputs_of') -%}
    {%- if not inputs_of -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ " is incremental by inputs but does not say of what: add"
            ~ " meta={'inputs_of': '<model>'} to its config"
        ) }}
    {%- endif -%}
    {{ inputs_in(ref(inputs_of)) }}
{%- endmacro %}

{% macro inputs_in(relation) -%}
    (select distinct groups._inputs from {{ relation }} as groups)
{%- endmacro %}
