{{ config(
    materialized='incremental',
    incremental_strategy='by_file',
    indexes=[{'columns': ['_load_id']}, {'columns': ['user_id']}],
    meta={
        'files_of': {'source': 'conversions'},
        'changes': ['user_id', 'registered_at'],
    },
) }}

with

conversions as (
    select * from {{ source('bronze', 'conversions') }}
    where {{ in_changed_files() }}
),

final as (
    select
        _load_id,
        trim(user_id) as user_id,
        registration_time as registered_at
    from conversions
)

select * from final
