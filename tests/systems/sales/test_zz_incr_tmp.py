import os, time, sys
from datetime import date
from data.samples.sales import generate
from tests.systems.sales.sales_instance import Sales
def test_incr(settings, tmp_path, administrator):
    s=Sales(settings, tmp_path/'kept')
    n=int(os.environ['HIST'])
    for p,rows in generate(1, products=1000, days=200, rows=n): s.drop(p[-14:-4], rows)
    t=time.time(); s.run(); print('first', n, time.time()-t, flush=True)
    last=[r.split(',') for r in rows if 'None' not in r]
    for i,day in enumerate((date(2026,7,1),date(2026,7,2),date(2026,7,3))):
        s.drop(str(day), [','.join([str(9000000+i*100000+k), *last[k%len(last)][1:-1], str(day)]) for k in range(10000)])
        t=time.time(); rep=s.run(); print('delivery', i, time.time()-t, [(m.mart,m.rows_inserted,m.rows_updated) for m in rep.publication.marts], flush=True)
        rows=administrator.execute("select split_part(unique_id,'.',3), execution_seconds from ops.node_results where transformation_id=(select max(transformation_id) from ops.transformations) order by 2 desc limit 8").fetchall()
        print(rows, flush=True)
