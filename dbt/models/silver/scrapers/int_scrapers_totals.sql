{{ config(
    materialized='incremental',
    incremental_strategy='by_inputs',
    indexes=[{'columns': ['_inputs']}],
    meta={'inputs_of': 'int_scrapers_source_days'},
) }}

with

source_days as (
    select * from {{ ref('int_scrapers_source_days') }}
    where {{ in_changed_inputs() }}
),

records as (
    select * from {{ ref('stg_scrapers') }}
),

operators as (
    select * from {{ ref('int_operators') }}
),

read_totals as (
    select
        source_days._inputs,
        source_days.marketing_source_key,
        records.operator_key,
        records.country_key,
        records.marketing_source,
        records.operator,
        records.total_earnings,
        records.visits,
        source_days.date
    from source_days
    inner join records
        on
            source_days.marketing_source_key = records.marketing_source_key
            and source_days.date = records.date
),

-- A day's total may be read several times; as it runs up, the highest reading is the latest.
readings as (
    select
        _inputs,
        marketing_source_key,
        operator_key,
        country_key,
        min(marketing_source collate ucs_basic) as marketing_source,
        min(operator collate ucs_basic) as operator,
        max(total_earnings) as total_earnings,
        max(visits) as visits,
        date
    from read_totals
    group by _inputs, marketing_source_key, operator_key, country_key, date
),

mapped as (
    select
        readings._inputs,
        readings.marketing_source_key,
        readings.marketing_source,
        coalesce(in_country.operator, anywhere.operator, readings.operator) as operator,
        readings.total_earnings,
        readings.visits,
        coalesce(in_country.operator, anywhere.operator) is not null as is_operator_known,
        readings.date
    from readings
    left join operators as in_country
        on
            readings.operator_key = in_country.operator_key
            and readings.country_key = in_country.country_key
    left join operators as anywhere
        on readings.operator_key = anywhere.operator_key and anywhere.country_key is null
),

final as (
    select
        _inputs,
        marketing_source_key,
        {{ name_key('operator') }} as operator_key,
        min(marketing_source collate ucs_basic) as marketing_source,
        min(operator collate ucs_basic) as operator,
        coalesce(sum(visits), 0)::bigint as visits,
        sum(total_earnings) as total_earnings,
        bool_or(is_operator_known) as is_operator_known,
        date
    from mapped
    group by _inputs, marketing_source_key, {{ name_key('operator') }}, date
)

select * from final
