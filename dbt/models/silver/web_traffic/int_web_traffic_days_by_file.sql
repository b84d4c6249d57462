{{ config(
    materialized='incremental',
    incremental_strategy='by_file',
    indexes=[{'columns': ['_load_id']}],
    meta={'files_of': {'models': ['stg_routy', 'stg_manual']}},
) }}

with

records as (
    select
        _load_id,
        marketing_source_key,
        date
    from {{ ref('stg_routy') }}
    union all
    select
        _load_id,
        marketing_source_key,
        date
    from {{ ref('stg_manual') }}
),

final as (
    select
        _load_id,
        marketing_source_key,
        count(*) as events,
        date
    from records
    where date is not null and {{ in_changed_files() }}
    group by _load_id, marketing_source_key, date
)

select * from final
