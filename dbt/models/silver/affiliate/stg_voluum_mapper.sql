with

records as (
    select
        _load_id,
        _source_row_number,
        {{ name_key('voluum_brand') }} as voluum_brand_key,
        {{ name_key('marketing_source') }} as marketing_source_key,
        {{ name_as_written('voluum_brand') }} as voluum_brand,
        {{ name_as_written('marketing_source') }} as marketing_source
    from {{ source('bronze', 'voluum_mapper') }}
),

final as (
    -- Of several records of a brand the last one holds.
    select distinct on (voluum_brand_key)
        voluum_brand_key,
        marketing_source_key,
        voluum_brand,
        marketing_source,
        count(*) over (partition by voluum_brand_key) as records
    from records
    order by voluum_brand_key asc, _load_id desc, _source_row_number desc
)

select * from final
