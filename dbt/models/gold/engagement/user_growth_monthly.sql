{{ user_growth('month') }}
