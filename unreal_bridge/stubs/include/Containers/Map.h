#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Containers/Array.h"
template <typename K, typename V> struct TPair { K Key; V Value; };
template <typename K, typename V> class TMap {
 public:
  V* Find(const K&);
  const V* Find(const K&) const;
  V& Add(const K&, const V&);
  void Reset();
  int32 Num() const;
  TPair<K, V>* begin();
  TPair<K, V>* end();
  const TPair<K, V>* begin() const;
  const TPair<K, V>* end() const;
};
