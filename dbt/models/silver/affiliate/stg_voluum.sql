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

-- Materialized, or the date is looked for once a row instead of once a file.
files as materialized (
    select
        current_load_id as load_id,
        {{ date_in_name('file_name') }} as date_in_name
    from {{ source('ops', 'files') }}
    where source = 'voluum'
),

final as (
    select
        records._load_id,
        {{ name_key('records.voluum_brand') }} as voluum_brand_key,
        {{ name_as_written('records.voluum_brand') }} as voluum_brand,
        records.clicks,
        coalesce(records.date, files.date_in_name) as date
    from records
    inner join files on records._load_id = files.load_id
)

select * from final
