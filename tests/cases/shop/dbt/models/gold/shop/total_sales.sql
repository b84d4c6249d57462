select
    'all' as scope,
    count(*) as orders,
    sum(amount) as amount
from {{ ref('stg_orders') }}
