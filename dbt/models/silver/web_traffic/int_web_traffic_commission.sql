{{ config(
    materialized='incremental',
    incremental_strategy='by_inputs',
    indexes=[{'columns': ['_inputs']}],
    meta={'inputs_of': 'int_web_traffic_source_days'},
) }}

with

source_days as (
    select * from {{ ref('int_web_traffic_source_days') }}
    where {{ in_changed_inputs() }}
),

records as (
    select
        marketing_source_key,
        marketing_source,
        operator_key,
        operator,
        country_key,
        country_code_key,
        raw_earnings,
        visits,
        signups,
        date
    from {{ ref('stg_routy') }}
    union all
    select
        marketing_source_key,
        marketing_source,
        operator_key,
        operator,
        null as country_key,
        null as country_code_key,
        raw_earnings,
        visits,
        signups,
        date
    from {{ ref('stg_manual') }}
),

operators as (
    select * from {{ ref('int_operators') }}
),

events as (
    select
        source_days._inputs,
        source_days.marketing_source_key,
        records.marketing_source,
        records.operator as operator_as_written,
        coalesce(in_country.operator, in_country_code.operator, anywhere.operator) as operator,
        records.raw_earnings,
        records.visits,
        records.signups,
        source_days.added_amount,
        source_days.clicks_amount,
        source_days.date
    from source_days
    inner join records
        on
            source_days.marketing_source_key = records.marketing_source_key
            and source_days.date = records.date
    left join operators as in_country
        on
            records.operator_key = in_country.operator_key
            and records.country_key = in_country.country_key
    left join operators as in_country_code
        on
            records.operator_key = in_country_code.operator_key
            and records.country_code_key = in_country_code.country_key
    left join operators as anywhere
        on
            records.operator_key = anywhere.operator_key
            and anywhere.country_key is null
),

shares as (
    select
        *,
        -- The day's clicks go to the event with the highest earnings; which one of two that agree
        -- in earnings and operator makes no difference.
        case
            when
                row_number() over (
                    partition by _inputs
                    order by
                        raw_earnings desc,
                        coalesce(operator, operator_as_written) collate ucs_basic asc,
                        marketing_source collate ucs_basic asc
                ) = 1
                then clicks_amount
            else 0
        end as clicks_share
    from events
),

final as (
    select
        _inputs,
        marketing_source_key,
        marketing_source,
        coalesce(operator, operator_as_written) as operator,
        count(*) as events,
        coalesce(sum(visits), 0)::bigint as visits,
        coalesce(sum(signups), 0)::bigint as signups,
        sum(raw_earnings) as raw_earnings,
        sum(greatest(raw_earnings + added_amount + clicks_share, 0)) as commission,
        operator is not null as is_operator_known,
        date
    from shares
    group by
        _inputs,
        marketing_source_key,
        marketing_source,
        coalesce(operator, operator_as_written),
        operator is not null,
        date
)

select * from final
