#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
template <typename Size> struct TSizedAllocator {};
typedef TSizedAllocator<int32> FDefaultAllocator;
typedef TSizedAllocator<int64> FDefaultAllocator64;
template <typename T, typename Allocator = FDefaultAllocator> class TArray {
 public:
  using SizeType = std::conditional_t<std::is_same<Allocator, FDefaultAllocator64>::value, int64, int32>;
  TArray();
  TArray(std::initializer_list<T>);
  TArray(const T*, SizeType);
  T* GetData();
  const T* GetData() const;
  SizeType Num() const;
  bool IsEmpty() const;
  void Reset(SizeType = 0);
  void Empty(SizeType = 0);
  void Init(const T&, SizeType);
  void SetNumUninitialized(SizeType);
  SizeType Add(const T&);
  SizeType Add(T&&);
  SizeType AddDefaulted(SizeType = 1);
  template <typename... A> SizeType Emplace(A&&... Args) { T Made(std::forward<A>(Args)...); return Add(std::move(Made)); }
  void Sort();
  T& operator[](SizeType);
  const T& operator[](SizeType) const;
  T* begin();
  T* end();
  const T* begin() const;
  const T* end() const;
};
template <typename T> using TArray64 = TArray<T, FDefaultAllocator64>;
