{{ config(
    materialized='incremental',
    incremental_strategy='by_file',
    indexes=[{'columns': ['_load_id']}, {'columns': ['sale_id']}],
    meta={'files_of': {'source': 'sales'}, 'changes': ['sale_id']},
) }}

with

sales as (
    select * from {{ source('bronze', 'sales') }}
    where {{ in_changed_files() }}
),

files as (
    select
        current_load_id as load_id,
        file_name
    from {{ source('ops', 'files') }}
    where source = 'sales'
),

final as (
    select
        sales._load_id,
        files.file_name,
        sales._source_row_number as row_number_in_file,
        {{ name_as_written('sales.sale_id') }} as sale_id,
        coalesce({{ name_as_written('sales.product_id') }}, 'unknown') as product_id,
        coalesce({{ name_key('sales.brand') }}, 'unknown') as brand_id,
        coalesce({{ name_key('sales.category') }}, 'unknown') as category_id,
        coalesce({{ name_as_written('sales.retailer_id') }}, 'unknown') as retailer_id,
        coalesce({{ name_as_written('sales.channel') }}, 'unknown') as channel,
        {{ name_as_written('sales.product_name') }} as product_name,
        {{ name_as_written('sales.brand') }} as brand,
        {{ name_as_written('sales.category') }} as category,
        {{ name_as_written('sales.retailer_name') }} as retailer_name,
        {{ name_as_written('sales.location') }} as location,
        sales.quantity,
        -- The registry lets only US dollars in, as 100, 100USD and 100 usd.
        substring(sales.price from '[0-9.]+')::numeric(18, 6) as amount,
        sales.sale_date
    from sales
    inner join files on sales._load_id = files.load_id
)

select * from final
