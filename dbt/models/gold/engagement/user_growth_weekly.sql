{{ user_growth('week') }}
