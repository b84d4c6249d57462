with

commission as (
    select * from {{ ref('int_web_traffic_commission') }}
),

source_days as (
    select * from {{ ref('int_web_traffic_source_days') }}
),

marketing_sources as (
    select * from {{ ref('int_marketing_sources') }}
),

final as (
    select
        coalesce(marketing_sources.marketing_source, commission.marketing_source)
            as marketing_source,
        commission.date,
        sum(commission.events)::bigint as events,
        sum(commission.visits)::bigint as visits,
        sum(commission.signups)::bigint as signups,
        max(source_days.clicks) as clicks,
        sum(commission.raw_earnings)::numeric(24, 6) as raw_earnings,
        sum(commission.commission)::numeric(24, 6) as commission
    from commission
    inner join source_days on commission._inputs = source_days._inputs
    left join marketing_sources
        on commission.marketing_source_key = marketing_sources.marketing_source_key
    group by
        coalesce(marketing_sources.marketing_source, commission.marketing_source),
        commission.date
)

select * from final
