with

listed as (
    select
        marketing_source_key,
        marketing_source,
        1 as list_number
    from {{ ref('stg_deals') }}
    union all
    select
        marketing_source_key,
        marketing_source,
        2 as list_number
    from {{ ref('stg_voluum_mapper') }}
),

final as (
    select distinct on (marketing_source_key)
        marketing_source_key,
        marketing_source
    from listed
    order by marketing_source_key, list_number, marketing_source collate ucs_basic
)

select * from final
