{{ config(
    materialized='incremental',
    incremental_strategy='by_file',
    indexes=[{'columns': ['_load_id']}],
    meta={'files_of': {'model': 'stg_scrapers'}},
) }}

with

records as (
    select * from {{ ref('stg_scrapers') }}
    where {{ in_changed_files() }}
),

final as (
    select
        _load_id,
        marketing_source_key,
        count(*) as readings,
        date
    from records
    where date is not null
    group by _load_id, marketing_source_key, date
)

select * from final
