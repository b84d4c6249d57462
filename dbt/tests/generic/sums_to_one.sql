{#-
    Returns the groups in which a column of rounded shares does not sum to 1. Each row may be off by
    half of its last digit; 1e-8 leaves room for a hundred and more rows of ten places.
-#}
{% test sums_to_one(model, column_name, group_by) %}

select
    {{ group_by | join(', ') }},
    sum({{ column_name }}) as total
from {{ model }}
group by {{ group_by | join(', ') }}
having abs(sum({{ column_name }}) - 1) > 1e-8

{% endtest %}
