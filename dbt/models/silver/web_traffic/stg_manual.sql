{{ config(
    materialized='incremental',
    incremental_strategy='by_file',
    indexes=[{'columns': ['_load_id']}, {'columns': ['marketing_source_key', 'date']}],
    meta={'files_of': {'source': 'manual'}},
) }}

with

records as (
    select * from {{ source('bronze', 'manual') }}
    where {{ in_changed_files() }}
),

-- Materialized, or the date is looked for once a row instead of once a file.
files as materialized (
    select
        current_load_id as load_id,
        {{ date_in_name('file_name') }} as date_in_name
    from {{ source('ops', 'files') }}
    where source = 'manual'
),

final as (
    select
        records._load_id,
        {{ name_key('records.marketing_source') }} as marketing_source_key,
        {{ name_key('records.operator') }} as operator_key,
        {{ name_as_written('records.marketing_source') }} as marketing_source,
        {{ name_as_written('records.operator') }} as operator,
        records.raw_earnings,
        records.visits,
        records.signups,
        coalesce(records.date, files.date_in_name) as date
    from records
    inner join files on records._load_id = files.load_id
)

select * from final
