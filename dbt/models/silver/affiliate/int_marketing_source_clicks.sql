with

clicks as (
    select * from {{ ref('stg_voluum') }}
),

brands as (
    select * from {{ ref('stg_voluum_mapper') }}
),

final as (
    select
        brands.marketing_source_key,
        clicks.date,
        sum(clicks.clicks)::bigint as clicks
    from clicks
    inner join brands on clicks.voluum_brand_key = brands.voluum_brand_key
    where clicks.date is not null
    group by brands.marketing_source_key, clicks.date
)

select * from final
