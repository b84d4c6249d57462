with

source_days as (
    select
        marketing_source_key,
        date,
        sum(events)::bigint as events,
        array_agg(_load_id order by _load_id) as loads
    from {{ ref('int_web_traffic_days_by_file') }}
    group by marketing_source_key, date
),

clicks as (
    select * from {{ ref('int_marketing_source_clicks') }}
),

deals as (
    select * from {{ ref('stg_deals') }}
),

-- What the mapping says, as one value.
operators as (
    select
        md5(string_agg(
            concat_ws('/', operator_key, coalesce(country_key, ''), operator), '|'
            order by operator_key collate ucs_basic, country_key collate ucs_basic
        )) as names_hash
    from {{ ref('int_operators') }}
),

amounts as (
    select
        source_days.marketing_source_key,
        source_days.loads,
        source_days.events,
        coalesce(clicks.clicks, 0) as clicks,
        coalesce(deals.added_amount, 0) as added_amount,
        coalesce(clicks.clicks * deals.clicks_multiplier, 0) as clicks_amount,
        source_days.date
    from source_days
    left join clicks
        on
            source_days.marketing_source_key = clicks.marketing_source_key
            and source_days.date = clicks.date
    left join deals on source_days.marketing_source_key = deals.marketing_source_key
),

final as (
    select
        amounts.marketing_source_key,
        amounts.events,
        amounts.clicks,
        amounts.added_amount,
        amounts.clicks_amount,
        amounts.date,
        {{ inputs_hash([
            'amounts.date', 'amounts.loads', 'amounts.added_amount', 'amounts.clicks_amount',
            'operators.names_hash', 'amounts.marketing_source_key',
        ]) }} as _inputs
    from amounts
    cross join operators
)

select * from final
