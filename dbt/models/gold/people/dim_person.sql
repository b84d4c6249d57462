{{ config(
    materialized='incremental',
    incremental_strategy='by_key',
    unique_key=['person_id'],
) }}

with

changed_persons as (
    select distinct person_id
    from {{ changes_of(ref('stg_users')) }} as changes
),

-- The newest record of a person is one step down an index, however many there are.
final as (
    select
        changed_persons.person_id,
        latest.location_id,
        latest.gender,
        latest.nationality,
        latest.title,
        latest.first_name,
        latest.last_name,
        latest.email,
        latest.username,
        latest.phone,
        latest.cell,
        latest.picture_url,
        latest.birth_date,
        latest.registered_at,
        latest.extracted_at
    from changed_persons
    left join lateral (
        select records.*
        from {{ ref('stg_users') }} as records
        where records.person_id = changed_persons.person_id
        order by records.extracted_at desc, records.record_number desc
        limit 1
    ) as latest on true
)

select * from final
