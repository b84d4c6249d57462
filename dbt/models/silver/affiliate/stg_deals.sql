{%- set number = '\\d{1,12}(\\.\\d{1,6})?' -%}
{%- set term = '(' ~ number ~ '(\\s*\\*\\s*clicks)?|clicks(\\s*\\*\\s*' ~ number ~ ')?)' -%}
{%- set pattern = '^\\s*[+-]?\\s*' ~ term ~ '(\\s*[+-]\\s*' ~ term ~ ')*\\s*$' -%}
with

records as (
    select
        _load_id,
        _source_row_number,
        {{ name_key('marketing_source') }} as marketing_source_key,
        {{ name_as_written('marketing_source') }} as marketing_source,
        {{ name_as_written('deal') }} as deal,
        {{ name_as_written('comments') }} as formula
    from {{ source('bronze', 'deals') }}
),

deals as (
    -- Of several records of a marketing source the last one holds.
    select distinct on (marketing_source_key)
        marketing_source_key,
        marketing_source,
        deal,
        formula,
        deal !~* '^fixed\s*0+(\.0+)?$' as is_applied,
        lower(formula) ~ '{{ pattern }}' as is_formula,
        count(*) over (partition by marketing_source_key) as records
    from records
    order by marketing_source_key asc, _load_id desc, _source_row_number desc
),

-- A formula is a sum of signed terms: a number, or clicks, or one times the other.
terms as (
    select
        deals.marketing_source_key,
        term.parts[1] as term_sign,
        term.parts[2] as term_body
    from deals
    cross join
        lateral regexp_matches(
            regexp_replace(lower(deals.formula), '\s', '', 'g'), '([+-]?)([^+-]+)', 'g'
        ) as term (parts)
    where deals.is_applied and deals.is_formula
),

factors as (
    select
        marketing_source_key,
        term_body like '%clicks%' as is_for_clicks,
        (
            term_sign
            || coalesce(nullif(regexp_replace(term_body, 'clicks|\*', '', 'g'), ''), '1')
        )::numeric as factor
    from terms
),

sums as (
    select
        marketing_source_key,
        sum(factor) filter (where not is_for_clicks) as added_amount,
        sum(factor) filter (where is_for_clicks) as clicks_multiplier
    from factors
    group by marketing_source_key
),

final as (
    select
        deals.marketing_source_key,
        deals.marketing_source,
        deals.deal,
        deals.formula,
        coalesce(sums.added_amount, 0) as added_amount,
        coalesce(sums.clicks_multiplier, 0) as clicks_multiplier,
        coalesce(deals.is_applied, false) as is_applied,
        coalesce(deals.is_formula, true) as is_formula,
        deals.records
    from deals
    left join sums on deals.marketing_source_key = sums.marketing_source_key
)

select * from final
