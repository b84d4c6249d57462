with

source_days as (
    select
        marketing_source_key,
        date,
        array_agg(_load_id order by _load_id) as loads
    from {{ ref('int_scrapers_days_by_file') }}
    group by marketing_source_key, date
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

final as (
    select
        source_days.marketing_source_key,
        source_days.date,
        {{ inputs_hash([
            'source_days.date', 'source_days.loads', 'operators.names_hash',
            'source_days.marketing_source_key',
        ]) }} as _inputs
    from source_days
    cross join operators
)

select * from final
