with

commission as (
    select * from {{ ref('int_scrapers_commission') }}
),

clicks as (
    select * from {{ ref('int_marketing_source_clicks') }}
),

marketing_sources as (
    select * from {{ ref('int_marketing_sources') }}
),

final as (
    select
        coalesce(marketing_sources.marketing_source, commission.marketing_source)
            as marketing_source,
        commission.date,
        sum(commission.visits)::bigint as visits,
        coalesce(max(clicks.clicks), 0) as clicks,
        sum(commission.total_earnings)::numeric(24, 6) as total_earnings,
        sum(commission.commission)::numeric(24, 6) as commission
    from commission
    left join clicks
        on
            commission.marketing_source_key = clicks.marketing_source_key
            and commission.date = clicks.date
    left join marketing_sources
        on commission.marketing_source_key = marketing_sources.marketing_source_key
    group by
        coalesce(marketing_sources.marketing_source, commission.marketing_source),
        commission.date
)

select * from final
