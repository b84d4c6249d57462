-- A registration that is lost, or counted under two channels or in two months, shows here.
{{ config(tags=['critical']) }}

with

distinct_records as (
    select distinct
        user_id,
        registered_at
    from {{ ref('stg_conversions') }}
),

delivered as (
    select count(*) as registrations from distinct_records
),

attributed as (
    select count(*) as registrations from {{ ref('fct_registrations') }}
),

counted as (
    select coalesce(sum(registrations), 0) as registrations
    from {{ ref('channel_attribution') }}
)

select
    delivered.registrations as delivered,
    attributed.registrations as attributed,
    counted.registrations as counted
from delivered
cross join attributed
cross join counted
where
    delivered.registrations != attributed.registrations
    or delivered.registrations != counted.registrations
