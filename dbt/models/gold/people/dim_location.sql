{{ config(
    materialized='incremental',
    incremental_strategy='by_key',
    unique_key=['location_id'],
) }}

with

changed_locations as (
    select distinct location_id
    from {{ changes_of(ref('stg_users')) }} as changes
),

-- All records with the location say the same of it, so any one will do.
final as (
    select
        changed_locations.location_id,
        known.country,
        known.state,
        known.city,
        known.postcode,
        known.street_name,
        known.street_number,
        known.timezone_offset,
        known.timezone_description,
        known.latitude,
        known.longitude
    from changed_locations
    left join lateral (
        select records.*
        from {{ ref('stg_users') }} as records
        where records.location_id = changed_locations.location_id
        order by records.location_id
        limit 1
    ) as known on true
)

select * from final
