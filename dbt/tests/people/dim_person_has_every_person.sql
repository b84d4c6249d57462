-- A person who was not calculated anew, or did not go with the last record, shows here.
{{ config(tags=['critical']) }}

with

delivered as (
    select count(distinct person_id) as persons from {{ ref('stg_users') }}
),

dimension as (
    select count(*) as persons from {{ ref('dim_person') }}
)

select
    delivered.persons as delivered,
    dimension.persons as in_dimension
from delivered
inner join dimension on delivered.persons != dimension.persons
