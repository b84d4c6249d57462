{{ config(
    materialized='incremental',
    incremental_strategy='by_file',
    indexes=[{'columns': ['_load_id']}],
    meta={'files_of': {'model': 'stg_event_stream'}},
) }}

with

events as (
    select * from {{ ref('stg_event_stream') }}
    where {{ in_changed_files() }}
),

final as (
    select
        _load_id,
        country,
        event_type,
        coalesce(transaction_category, 'none') as transaction_category,
        count(*) as interactions
    from events
    group by _load_id, country, event_type, coalesce(transaction_category, 'none')
)

select * from final
