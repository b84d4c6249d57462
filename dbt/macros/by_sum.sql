{#-
    Incremental by sum: counts and sums that follow the changes of a model whose log has whole rows
    (changes.sql). What went is taken off and what came is added. A model takes part with

        config(
            materialized='incremental',
            incremental_strategy='by_sum',
            unique_key=['country'],
            indexes=[{'columns': ['country'], 'unique': true}],
        )

        select country, sum(_change) as users
        from {{ changes_of(ref('<model>')) }} as changes
        group by country

    Every column that is not of the key is such a sum, of whole or decimal numbers, and never null: a
    floating-point sum depends on the order, and would not equal a build in full. A key without
    anything is dropped; no column of a key may be null.
-#}

{#- dbt finds this macro by the name of the strategy. -#}
{% macro get_incremental_by_sum_sql(arg_dict) %}
    {%- set target = arg_dict['target_relation'] -%}
    {%- set key = key_columns(arg_dict['unique_key']) -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='name') | list -%}
    insert into {{ target }} as target ({{ columns | join(', ') }})
    select {{ columns | join(', ') }} from {{ arg_dict['temp_relation'] }}
    on conflict ({{ key | join(', ') }}) do update set
    {%- for column in columns if column not in key %}
        {{ column }} = target.{{ column }} + excluded.{{ column }}{{ ',' if not loop.last }}
    {%- endfor %};
    delete from {{ target }}
    where true
    {%- for column in columns if column not in key %} and {{ column }} = 0{% endfor %};
{% endmacro %}
