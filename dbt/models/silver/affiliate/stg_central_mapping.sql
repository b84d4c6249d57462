with

records as (
    select * from {{ source('bronze', 'central_mapping') }}
),

-- A record has one variant or several; one that has a separator in it is met as a whole as well.
variants as (
    select
        {{ name_key('records.std_operator') }} as operator_key,
        {{ name_key('records.country') }} as country_key,
        {{ name_key('variant.spelling') }} as variant_key,
        {{ name_as_written('records.std_operator') }} as operator
    from records
    cross join
        lateral unnest(
            regexp_split_to_array(records.variants, '[,;|]') || records.variants
        ) as variant (spelling)
),

final as (
    select
        variant_key,
        country_key,
        -- One operator has one spelling.
        min(operator collate ucs_basic) over (partition by operator_key) as operator
    from variants
    where variant_key is not null
)

select distinct * from final
