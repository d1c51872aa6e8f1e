package io.dlcache.key.fuzz

import org.apache.spark.sql.catalyst.analysis.FunctionRegistry

/** Expressions: operators, functions over columns, higher-order functions, variant, intervals, collations. */
private[fuzz] object ExpressionQueries {

  val all: Seq[Query] = Corpus.statements("""
select a + b as i, a - c as k, a * b as l, a / c as o, a div c as p, a % c as q, -a as h from t;
select a + b + c as i, x + y + a as k, a * b * c as l from t;
select a & b as i, a | c as k, a ^ b as l, ~a as o, a << 2 as p, a >> c as q, a >>> 1 as h from t;
select a = b as i, a <=> b as k, a != c as l, a < b as o, a >= c as p, a between c and b as q from t;
select a in (1, c) as i, s in ('one', u) as k, a not in (1, 2, null) as l, b is distinct from c as o from t;
select f and g as i, f or g as k, not f as l, f is true as o, g is unknown as p, b is null as q from t;
select case when a > 2 then b when c = 1 then a else c end as i, case c when 1 then a when 3 then b end as k from t;
select if(f, a, b) as i, coalesce(b, a, c) as k, nvl(b, a) as l, nvl2(b, a, c) as o, nullif(a, c) as p from t;
select ifnull(s, u) as i, nanvl(x, y) as k, zeroifnull(b) as l, nullifzero(c) as o, decode(c, 1, 'o', 3, s, u) as p from t;
select greatest(a, b, c) as i, least(a, b, c) as k, abs(a - b) as l, sign(x) as o, pmod(a - b, 3) as p from t;
select round(x, 1) as i, bround(y) as k, ceil(x) as l, floor(y) as o, rint(x) as p, round(w, -1) as q from t;
select sqrt(a) as i, power(a, c) as k, exp(y) as l, ln(a) as o, log(a, b) as p, log10(b) as q, cbrt(a) as h from t;
select sin(x) as i, atan2(x, y) as k, hypot(x, y) as l, degrees(x) as o, radians(y) as p, cot(x) as q from t;
select hex(a) as i, bin(b) as k, conv('11', a + 9, 10) as l, factorial(a) as o, width_bucket(x, 0, 5, a) as p from t;
select cast(a as string) as i, cast(s as int) as k, cast(x as int) as l, cast(ts as date) as o from t where a != 5;
select try_cast(s as int) as i, cast(a as decimal(5, 2)) as k, cast(w as double) as l, cast(f as int) as o from t;
select try_add(a, b) as i, try_divide(a, c) as k, try_subtract(a, b) as l, try_multiply(a, c) as o, try_mod(a, c) as p from t;
select w + z as i, w * z as k, w / z as l, w - z as o, w % 2 as p, -w as q from t where a != 3;
select upper(s) as i, lower(u) as k, initcap(s) as l, length(s) as o, char_length(u) as p, reverse(s) as q from t;
select concat(s, u) as i, s || u as k, concat_ws('-', s, u) as l, repeat(s, c) as o, format_string('%s-%s', s, a) as p from t;
select substring(s, 2, 3) as i, left(s, c) as k, right(u, 2) as l, substring_index(v, ',', 1) as o, elt(c, s, u) as p from t;
select trim(u) as i, ltrim('o', s) as k, rtrim(u) as l, btrim(s, 'e') as o, lpad(s, 6, '*') as p, rpad(u, a, 'x') as q from t;
select instr(s, 'e') as i, locate('e', s, c) as k, position('n', s) as l, find_in_set(u, v) as o, contains(s, 'o') as p from t;
select replace(s, 'e', u) as i, translate(s, 'eo', 'xy') as k, overlay(s placing 'ZZ' from c) as l, split(v, ',') as o from t;
select s like '%e%' as i, s rlike '^t' as k, s ilike 'T%' as l, u like 'z_ei' as o, s like any ('o%', '%e') as p, s not like all ('x', 'y') as q from t;
select regexp_replace(s, 'e+', u) as i, regexp_extract(s, '(.)e', 1) as k, regexp_count(s, 'e') as l, regexp_substr(s, '[a-f]+') as o from t;
select regexp_extract_all(s, '([a-z])', 1) as i, regexp_instr(s, 'e') as k, startswith(s, 'o') as l, endswith(u, 's') as o from t;
select soundex(s) as i, levenshtein(s, u) as k, ascii(s) as l, chr(a + 60) as o, base64(bin) as p, hex(bin) as q, encode(s, 'UTF-8') as h from t;
select smallint(a) as i, string(b) as k, boolean(c) as l, double(a) as o, bigint(c) as p, tinyint(a) as q, binary(s) as h from t;
select between(a, c, b) as i, collate(s, 'UTF8_LCASE') as k, time('10:11:1' || c) as l from t;
select md5(s) as i, sha1(s) as k, sha2(s, 256) as l, crc32(s) as o, hash(a, s) as p, xxhash64(b, u) as q from t;
select s collate UTF8_LCASE = u collate UTF8_LCASE as i, s collate UNICODE < u collate UNICODE as k, collation(s collate UNICODE_CI) as l from t;
select count(*) as i from t group by s collate UTF8_LCASE;
select distinct s collate UTF8_LCASE as i from t;
select d + 1 as i, date_add(d, a) as k, date_sub(e, c) as l, datediff(d, e) as o, add_months(d, c) as p, d - e as q from t;
select year(d) as i, month(e) as k, day(d) as l, dayofweek(e) as o, quarter(d) as p, weekofyear(e) as q, dayofyear(d) as h from t;
select hour(ts) as i, minute(us) as k, second(ts) as l, extract(week from ts) as o, date_part('month', us) as p from t;
select trunc(d, 'MM') as i, date_trunc('HOUR', ts) as k, last_day(d) as l, next_day(e, 'MON') as o, make_date(a + 2000, c, 1) as p from t;
select date_format(ts, 'yyyy-MM') as i, to_date('2024-0' || c || '-01') as k, to_timestamp(s, 'yyyy') as l, unix_timestamp(ts) as o from t where a < 0;
select from_unixtime(a * 1000) as i, timestamp_seconds(a) as k, timestamp_millis(b) as l, timestamp_micros(c) as o, unix_micros(ts) as p from t;
select months_between(ts, us) as i, timestampdiff(DAY, us, ts) as k, timestampadd(HOUR, c, ts) as l, ts - us as o from t;
select from_utc_timestamp(ts, 'Asia/Kolkata') as i, to_utc_timestamp(us, 'America/New_York') as k, convert_timezone('UTC', 'CET', cast(ts as timestamp_ntz)) as l from t;
select ts + interval 1 day as i, d + interval '1' month as k, interval '1 02:03:04' day to second * c as l, make_interval(a, c) as o, interval '1-2' year to month as p from t;
select make_dt_interval(a, c, b) as i, extract(day from make_dt_interval(a, b)) as k, interval 2 year * c as l from t;
select ts > timestamp'2024-01-01' as i, d < date'2024-02-01' as k, us between ts and timestamp'2025-01-01' as l, time'10:11:12' as o from t;
select window(ts, '1 hour') as i, count(*) as k from t group by window(ts, '1 hour');
select session_window(us, '30 minutes') as i, sum(a) as k from t group by session_window(us, '30 minutes');
select arr[0] as i, try_element_at(arr, c) as k, element_at(m, 'k') as l, m['l'] as o, st.p as q, st.q as h, get(arr, c) as p from t where a != 3;
select size(arr) as i, array_contains(arr, c) as k, array_position(brr, a) as l, cardinality(m) as o, array_size(brr) as p from t;
select sort_array(arr, false) as i, array_sort(brr) as k, array_distinct(arr) as l, array_max(arr) as o, array_min(brr) as p, shuffle(arr, 3) as q from t;
select array_union(arr, brr) as i, array_intersect(arr, brr) as k, array_except(arr, brr) as l, arrays_overlap(arr, brr) as o from t;
select array_append(arr, a) as i, array_prepend(brr, c) as k, array_insert(arr, 2, b) as l, array_remove(arr, c) as o, array_compact(brr) as p from t;
select slice(arr, 2, c) as i, array_repeat(a, c) as k, flatten(array(arr, brr)) as l, arrays_zip(arr, brr) as o, array_join(array(s, u), '-') as p from t;
select sequence(c, a + 3) as i, array(a, b, c) as k, map(s, a, 'z', c) as l, named_struct('p', a, 'q', b) as o, struct(a, c) as p from t where s is not null;
select map_keys(m) as i, map_values(n) as k, map_entries(m) as l, map_concat(m, map('zz', a)) as o, map_contains_key(m, s) as p, map_from_arrays(array(1, 2), array(a, b)) as q from t;
select str_to_map(v, ',', ':') as i, map_from_entries(array(struct(a, c))) as k from t;
select transform(arr, e1 -> e1 + a) as i, transform(brr, (e1, i1) -> e1 * i1 + c) as k from t;
select filter(arr, e1 -> e1 > c) as i, exists(brr, e1 -> e1 = a) as k, forall(arr, e1 -> e1 < b) as l from t;
select aggregate(arr, 0, (acc, e1) -> acc * 2 + e1) as i, reduce(brr, a, (acc, e1) -> acc - e1, acc -> acc * 10) as k from t;
select zip_with(arr, brr, (e1, e2) -> e1 - e2) as i, array_sort(arr, (e1, e2) -> e2 - e1) as k from t;
select map_filter(m, (k1, v1) -> v1 > c) as i, transform_values(m, (k1, v1) -> v1 + a) as k, transform_keys(m, (k1, v1) -> k1 || v1) as l, map_zip_with(m, n, (k1, v1, v2) -> v1 - v2) as o from t where a != 5;
select transform(arr, e1 -> transform(brr, e2 -> e1 - e2)) as i, filter(arr, e1 -> exists(brr, e2 -> e2 > e1)) as k from t;
select from_json(j, 'p int, q array<int>') as i, get_json_object(j, '$.p') as k, to_json(st) as l, json_array_length(j) as o, schema_of_json('{"p":1}') as p from t;
select from_json(j, 'p string', map('mode', 'PERMISSIVE')) as i, to_json(named_struct('d', d), map('dateFormat', 'dd/MM')) as k, json_object_keys(j) as l from t;
select from_csv(v, 'p int, q int') as i, to_csv(st) as k, from_csv(v, 'p string, q string', map('sep', ';')) as l, schema_of_csv('1,a') as o from t;
select from_xml('<r><p>1</p><q>x</q></r>', 'p int, q string') as i, to_xml(st) as k, xpath_int('<r><p>4</p></r>', 'r/p') as l, xpath_string('<r><p>' || s || '</p></r>', 'r/p') as o from t;
select variant_get(v, '$.a', 'string') as i, try_variant_get(w, '$.a', 'int') as k, v:b as l, schema_of_variant(v) as o, is_variant_null(w) as p from doc;
select to_json(v) as i, cast(w:a as string) as k, to_variant_object(named_struct('p', 1)) as l, schema_of_variant_agg(v) over () as o from doc;
select q.key, q.value from doc, lateral variant_explode(doc.v) q;
select to_number('12.5', '99.9') as i, to_char(w, '99.99') as k, format_number(x, 2) as l, try_to_number(s, '999') as o, to_varchar(a, '09') as p from t;
select url_encode(s) as i, parse_url('http://h/p?q=' || a, 'QUERY', 'q') as k, url_decode('a%20b') as l, mask(s) as o, mask(u, 'Q', 'q') as p from t;
select bit_count(a) as i, getbit(b, 1) as k, shiftleft(a, c) as l, bit_get(b, c) as o, bit_length(s) as p, octet_length(u) as q from t;
select typeof(a) as i, typeof(x + a) as k, assert_true(a > 0) as l, equal_null(b, c) as o, luhn_check('79927398713') as p, is_valid_utf8(s) as q from t;
select aes_decrypt(aes_encrypt(s, '0000111122223333', 'ECB'), '0000111122223333', 'ECB') as i, to_binary(s, 'utf-8') as k, unbase64('YWI=') as l from t;
select count(*), count(a), count(distinct a, c), sum(a), sum(w), avg(z), min(s), max(d), min(ts), max_by(s, a) from t;
select max(st) as i, min(struct(c, a)) as k, max(arr) as l, array_agg(a) as o, approx_count_distinct(b) as p, histogram_numeric(a, 3) as q from t;
select regr_slope(a, c) as i, regr_intercept(a, b) as k, covar_pop(a, c) as l, kurtosis(b) as o, grouping(c) as p from t group by rollup (c);
select count_min_sketch(a, 0.5d, 0.5d, 1) as i, bitmap_construct_agg(bitmap_bit_position(a)) as k, try_sum(b) as l, try_avg(c) as o from t;
select hll_sketch_estimate(hll_sketch_agg(a)) as i, theta_sketch_estimate(theta_sketch_agg(b)) as k from t;
select version() as i, current_timezone() as k, pi() as l, e() as o, null as p, 1.5 as q, 'x' as h, X'0A' as g, true as f;
select 1 as i, 1L as k, 1S as l, 1Y as o, 1.0F as p, 1.0D as q, 1.0BD as h, interval 1 day as g, interval 1 year as f;
select array() as i, map() as k, array(null) as l, struct() as o, array(array(1), array(2, 3)) as p;
select date'2024-01-01' as i, timestamp'2024-01-01 00:00:00' as k, timestamp_ntz'2024-01-01' as l, timestamp_ltz'2024-01-01' as o;
select a as i, explode_outer(arr) as k from t where b > 5;
select case when x > y then s else u end as i, x = y as k, x <=> y as l, x < y as o from t;
select a.b.c as i, a.b.o as k from (select named_struct('b', named_struct('c', a, 'o', b)) as a from t);
select st.*, a from t;
select transform(array(st, st), e1 -> e1.p + e1.q) as i, array(st).p as k, map_values(map('z', st)).q as l from t;
select struct(a as p, b as q) = struct(c as p, b as q) as i, array(a, b) < array(c, b) as k, arr = brr as l from t;
select sum(case when f then a else c end) as i, count(case when b > 5 then 1 end) as k, avg(if(g, a, b)) as l from t
""")

  private val Example = "(?s)> (SELECT .*?);".r

  /** The examples in the documentation of Spark's own functions, of which some show what is an error. */
  def documented: Seq[Query] =
    for {
      (_, (info, _)) <- FunctionRegistry.expressions.toSeq.sortBy(_._1)
      query <- Example.findAllMatchIn(info.getExamples.replace("_FUNC_", info.getName)).map(_.group(1))
    } yield Query.sql(query).copy(optional = true)
}
