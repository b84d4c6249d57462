{{ config(
    materialized='incremental',
    incremental_strategy='by_file',
    indexes=[{'columns': ['_load_id']}],
    meta={'files_of': {'source': 'voluum'}},
) }}

with

records as (
    select * from {{ source('bronze', 'voluum') }}
    where {{ in_changed_files() }}
),

final as (
    select
        _load_id,
        {{ name_key('voluum_brand') }} as voluum_brand_key,
        {{ name_as_written('voluum_brand') }} as voluum_brand,
        clicks,
        date
    from records
)

select * from final
