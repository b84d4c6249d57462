{#-
    Returns the newest moment of a column where it lies more than some days in the past: files stay
    away, or bring old records only. A model without rows passes: nothing has been delivered yet.
-#}
{% test is_recent(model, column, days) %}

select max({{ column }}) as newest
from {{ model }}
having max({{ column }}) < current_timestamp - interval '{{ days }} days'

{% endtest %}
