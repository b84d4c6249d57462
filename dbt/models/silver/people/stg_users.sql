{{ config(
    materialized='incremental',
    incremental_strategy='by_file',
    indexes=[
        {'columns': ['_load_id']},
        {'columns': ['person_id', 'extracted_at', 'record_number']},
        {'columns': ['location_id']},
    ],
    meta={
        'files_of': {'source': 'users'},
        'changes': ['person_id', 'location_id'],
    },
) }}

with

users as (
    select * from {{ source('bronze', 'users') }}
    where {{ in_changed_files() }}
),

cleaned as (
    select
        _load_id,
        _source_row_number as record_number,
        uuid::uuid as person_id,
        lower({{ text_or_null('gender') }}) as gender,
        upper({{ text_or_null('nat') }}) as nationality,
        {{ text_or_null('title') }} as title,
        {{ text_or_null('first_name') }} as first_name,
        {{ text_or_null('last_name') }} as last_name,
        lower({{ text_or_null('email') }}) as email,
        {{ text_or_null('username') }} as username,
        {{ text_or_null('phone') }} as phone,
        {{ text_or_null('cell') }} as cell,
        {{ text_or_null('picture_large') }} as picture_url,
        coalesce({{ text_or_null('country') }}, 'unknown') as country,
        {{ text_or_null('state') }} as state,
        {{ text_or_null('city') }} as city,
        {{ text_or_null('postcode') }} as postcode,
        {{ text_or_null('street_name') }} as street_name,
        {{ text_or_null('street_number') }} as street_number,
        {{ text_or_null('timezone_offset') }} as timezone_offset,
        {{ text_or_null('timezone_description') }} as timezone_description,
        latitude::numeric(8, 4) as latitude,
        longitude::numeric(8, 4) as longitude,
        (born_at at time zone 'utc')::date as birth_date,
        registered_at,
        extracted_at
    from users
),

final as (
    select
        *,
        -- An address with all that is known of it: whoever shares it shares the location.
        md5(
            row(
                country,
                state,
                city,
                postcode,
                street_name,
                street_number,
                timezone_offset,
                timezone_description,
                latitude,
                longitude
            )::text
        )::uuid as location_id
    from cleaned
)

select * from final
