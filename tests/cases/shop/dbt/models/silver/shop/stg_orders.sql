select
    order_id,
    product,
    amount
from {{ source('bronze', 'orders') }}
