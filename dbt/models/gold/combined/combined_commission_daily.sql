with

web_traffic as (
    select * from {{ published('web_traffic_commission_daily') }}
),

scrapers as (
    select * from {{ published('scrapers_commission_daily') }}
),

commission as (
    select
        marketing_source,
        date,
        commission as web_traffic_commission,
        0 as scrapers_commission
    from web_traffic
    union all
    select
        marketing_source,
        date,
        0 as web_traffic_commission,
        commission as scrapers_commission
    from scrapers
),

final as (
    select
        marketing_source,
        date,
        sum(web_traffic_commission)::numeric(24, 6) as web_traffic_commission,
        sum(scrapers_commission)::numeric(24, 6) as scrapers_commission,
        sum(web_traffic_commission + scrapers_commission)::numeric(24, 6) as commission
    from commission
    group by marketing_source, date
)

select * from final
