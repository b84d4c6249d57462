{{ config(
    materialized='incremental',
    incremental_strategy='by_file',
    indexes=[{'columns': ['_load_id']}, {'columns': ['marketing_source_key', 'date']}],
    meta={'files_of': {'source': 'scrapers'}},
) }}

with

records as (
    select * from {{ source('bronze', 'scrapers') }}
    where {{ in_changed_files() }}
),

final as (
    select
        _load_id,
        {{ name_key('marketing_source') }} as marketing_source_key,
        {{ name_key('operator') }} as operator_key,
        {{ name_key('country') }} as country_key,
        {{ name_as_written('marketing_source') }} as marketing_source,
        {{ name_as_written('operator') }} as operator,
        total_earnings,
        visits,
        date
    from records
)

select * from final
