{{ config(indexes=[{'columns': ['operator_key', 'country_key']}]) }}

with

variants as (
    select * from {{ ref('stg_central_mapping') }}
),

by_country as (
    select
        variant_key as operator_key,
        country_key,
        min(operator collate ucs_basic) as operator,
        count(distinct operator) > 1 as is_ambiguous
    from variants
    where country_key is not null
    group by variant_key, country_key
),

anywhere as (
    select
        variant_key as operator_key,
        min(operator collate ucs_basic) filter (where country_key is null) as operator,
        -- What means one operator in each country that is listed means it in the others too.
        case
            when count(distinct operator) = 1 then min(operator collate ucs_basic)
        end as only_operator,
        count(distinct operator) filter (where country_key is null) > 1 as is_ambiguous
    from variants
    group by variant_key
),

standard_names as (
    select distinct
        {{ name_key('operator') }} as operator_key,
        operator
    from variants
),

elsewhere as (
    select
        coalesce(standard_names.operator_key, anywhere.operator_key) as operator_key,
        null::text as country_key,
        coalesce(standard_names.operator, anywhere.operator, anywhere.only_operator) as operator,
        coalesce(anywhere.is_ambiguous and standard_names.operator is null, false) as is_ambiguous
    from standard_names
    full outer join anywhere on standard_names.operator_key = anywhere.operator_key
),

final as (
    select * from by_country
    union all
    select * from elsewhere
    where operator is not null
)

select * from final
