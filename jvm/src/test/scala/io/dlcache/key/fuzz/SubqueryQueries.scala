package io.dlcache.key.fuzz

/** Subqueries of every kind, correlated and not; SQL functions and variables. */
private[fuzz] object SubqueryQueries {

  val all: Seq[Query] = Corpus.statements("""
select a, (select max(b) from r) as m from t;
select a, (select max(r.b) from r where r.a = t.a) as m from t;
select a, (select count(*) from r where r.k = t.b) as m from t;
select a, (select count(r.a) + 1 from r where r.a = t.c) as m, c from t;
select a, (select sum(r.b) from r where r.a = t.a and r.k = t.b) as m from t;
select a, b from t where a > (select min(a) from r);
select a, b from t where a > (select avg(r.a) from r where r.k = t.b);
select a, b from t where EXISTS (select 1 from r where r.a = t.a);
select a, b from t where NOT EXISTS (select 1 from r where r.a = t.a and r.b > 1);
select a, b from t where EXISTS (select count(*) from r where r.a = t.a);
select a, b from t where EXISTS (select count(*) from r where r.a = t.a having count(*) = 0);
select a, b from t where NOT EXISTS (select count(*) from r where r.a = t.b having count(*) > 0);
select a, b from t where EXISTS (select sum(r.b) from r where r.a = t.a having count(*) = 0);
select a, b from t where EXISTS (select r.a from r where r.a = t.a limit 1);
select a, b from t where EXISTS (select r.a from r where r.a = t.a order by r.b limit 1 offset 1);
select a, b from t where EXISTS (select r.a from r where r.a = t.a union all select n.a from n where n.b = t.b);
select a, b from t where EXISTS (select 1 from r where r.a = t.a) or c = 1;
select a, EXISTS (select 1 from r where r.a = t.a) as h, a IN (select b from r) as i from t;
select a, b from t where a IN (select b from r);
select a, b from t where a NOT IN (select b from r);
select a, b from t where a NOT IN (select a from r where a is not null);
select a, b from t where a IN (select r.b from r where r.k = t.b);
select a, b from t where (a, b) IN (select a, k from r);
select a, b from t where a = (select r.a from r where r.a = t.a and r.b = 2);
select a, (select max(n.p) from n join r on n.b = r.b where r.a = t.a) as m from t;
select a, (select q.m from (select r.k, max(r.b) as m from r group by r.k) q where q.k = t.b) as m from t;
select a, (select sum(n.p) from n where n.a < t.a) as m from t;
select a, (select count(distinct n.s) from n where n.b = t.a) as m from t;
select a, (select max(q.v1) from (select t.a + t.c as v1) q) as m from t;
select a, (select array_agg(r.b) from r where r.a = t.a) as m from t;
select a, (select r.b from r where r.a = t.a order by r.b limit 1) as m from t;
select t.a, q.m from t, lateral (select max(r.b) as m from r where r.a = t.a) q;
select t.a, q.m, q.l from t LEFT join lateral (select r.b as m, r.a as l from r where r.k = t.b limit 1) q;
select t.a, q.i, p.j from t, lateral (select t.a + t.b as i) q, lateral (select q.i + t.c as j) p;
select t.a, q.n from t, lateral (select count(*) as n from r where r.a = t.a) q;
select t.a, q.n from t, lateral (select count(*) as n from r where r.a = t.a having count(*) > 0) q;
select t.a, q.a from t, lateral (select r.a from r where r.a = t.a union all select t.b) q;
select t.a, q.e1 from t, lateral (select explode(t.arr) as e1) q where q.e1 > 1;
select a, (select (select max(n.p) from n where n.a = r.b) from r where r.a = t.a and r.b = 2) as m from t;
select a, (select max(r.b) from r where r.a = t.a or r.k = t.b) as m from t;
select a from t where a IN (select r.a from r where EXISTS (select 1 from n where n.a = r.b));
select a from t where 1 = (select count(*) from r where r.a = t.a);
select a from t where 0 = (select count(*) from r where r.k = t.b);
select a from t where coalesce((select max(r.b) from r where r.a = t.a), 0) = 0;
select c, (select max(r.b) from r where r.a = t.c) as m, count(*) from t group by 1, 2;
select c, sum(a) from t group by c having sum(a) > (select min(r.a) from r where r.b = t.c);
select max(a) + (select min(b) from r) as m from t;
select a, sum((select max(b) from r)) over (partition by c) as m from t;
select case when EXISTS (select 1 from r where r.a = t.a) then a else b end as m from t;
select (select a from t where a = 2) as i, (select b from t where a = 2) as k;
select * from t q where q.a = (select max(a) from t p where p.c = q.c);
select a, (with q as (select b from r where k = 5) select max(b) from q) as m from t;
with q as (select a, b from r) select a from t where a IN (select a from q) and b > (select min(b) from q);
select t.a from t join r on t.a = r.a and t.b > (select min(k) from r);
select t.a, r.b from t join r on t.a = r.a where r.b IN (select n.a from n where n.b > 2);
select plus(a, b) as i from t;
select plus(b, a) as i, plus(a, 1) as k from t where plus(a, c) > 4;
select * from few(2);
select t.a, q.i, q.j from t, lateral few(t.a) q;
select a, threshold as i, other as k from t where a > threshold;
select a from t where a > session.threshold and b < other + 10;
select * from identifier('t') where a = 1;
select identifier('a') as i from t;
execute immediate 'select a, b from t where a > 1';
execute immediate 'select a, b from t where a > ? and c < ?' using 1, 4
""") ++ parameters

  private def parameters: Seq[Query] = {
    def named(i: Int, j: Int): Map[String, Any] = Map("i" -> i, "j" -> j)
    Seq(
      Query.of("named parameters", named(1, 6), named(2, 6), named(1, 8), named(6, 1)) { (session, values) =>
        session.sql("select a, b from t where a > :i and b < :j", values)
      },
      Query.of("positional parameters", Seq[Any](1, 6), Seq[Any](6, 1), Seq[Any](1, 9), Seq[Any](1, 7L)) {
        (session, values) => session.sql("select a, b, ? as i from t where b > ?", values.toArray[Any])
      },
      Query.of("string parameters", "a", "b", "c") { (session, column) =>
        session.sql("select identifier(:n) as i from t", Map[String, Any]("n" -> column))
      }
    )
  }
}
